"""Finds attacks and failures in the logs of a Kafka cluster, in near real time, with Sigma rules."""

__version__ = "0.1.0"
