"""What two services need: errors, settings, telemetry, profiles, model input, identity."""
