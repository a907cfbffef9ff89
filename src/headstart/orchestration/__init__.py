"""What the flows are made of; only this and flows/ import Prefect."""
