"""MLflow: tracking, registration and the served model."""
