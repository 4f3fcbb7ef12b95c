"""Programs that time the zoo side by side with other systems; each prints a table."""
