"""The demo: believable logs with known attacks among them, sent to a real Kafka, and the service catching them."""
