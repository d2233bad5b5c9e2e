"""What keeps matches from being alerts: exceptions, and suppressions."""
