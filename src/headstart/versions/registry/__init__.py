"""The record on the tracking server: runs, stored models, shared layers."""
