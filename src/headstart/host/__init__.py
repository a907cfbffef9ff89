"""This machine: the project folder, processes that end with their owner, accelerator locks, ports."""
