from tests.train.conftest import few_actors

__all__ = ["few_actors"]
