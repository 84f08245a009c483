"""Programs that speak through the broker: their configuration, their start, their metrics."""
