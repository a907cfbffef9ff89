"""Provenance: how a version was made, whether it can be reproduced, and how two versions differ."""
