"""Stage inspect: pictures that look wrong, and labels that the features contradict."""
