"""The direct lane: JSON records to slots of bytes, without a Python object for a record that no rule matches."""
