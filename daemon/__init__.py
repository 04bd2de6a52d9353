"""The service: capture -> speech -> emotion -> publish."""
