"""The parts that flows are built from; only this package and flows/ import Prefect."""
