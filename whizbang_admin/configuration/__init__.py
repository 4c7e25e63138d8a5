"""The settings in force, and what system checks say."""
