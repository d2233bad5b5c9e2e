"""`detector warm`: compile ahead."""

from __future__ import annotations


def warm() -> None:
    """Compile into NUMBA_CACHE_DIR what is otherwise compiled at the first start, and load the built-in rules.

    For the build of an image.
    """
    from detector.config import Config
    from detector.kafka import warm as kafka_kernels
    from detector.parsing import warm as parsing_kernels
    from detector.pipeline import Pipeline
    from detector.reload import load
    from detector.sigma.engine import warm as engine_kernels

    kafka_kernels.warm(checked=True)
    parsing_kernels.warm()
    engine_kernels.warm()
    spec, rules = load(Config())
    Pipeline(spec)
    print(f"kernels compiled, {len(rules.rules)} rules and {len(spec.parsers)} parsers loaded")
