"""Programs that compare the zoo with other systems, each of which prints a table; and its pages."""
