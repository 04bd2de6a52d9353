from tests.train.conftest import few_actors, few_noises

__all__ = ["few_actors", "few_noises"]
