"""What chaos tests and benchmarks share: the service as a child process, a load that knows what must alert, a watcher.

Nothing here uses the product's own Kafka code: the load and the watcher are clients of librdkafka.
"""
