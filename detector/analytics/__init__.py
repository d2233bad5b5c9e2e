"""What a lake of events comes to: totals, and the tables of the reports."""
