"""Weight updates only: recipes, schedules, averaging, batch-norm recalibration."""
