"""The drawings of the report.  Only this package imports matplotlib, the `report` extra."""
