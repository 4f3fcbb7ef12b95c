"""Programs that compare the zoo with other systems; each prints a table."""
