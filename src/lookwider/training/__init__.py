"""Recipes, the Lightning task, schedules, and training that can be stopped anywhere."""
