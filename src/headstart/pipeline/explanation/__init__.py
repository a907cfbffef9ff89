"""Why the network answers as it does: the evidence in a picture, and the training images most like it."""
