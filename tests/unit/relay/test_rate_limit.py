from relay.rate_limit import RateLimit


def test_burst_is_spent_then_the_rate_holds() -> None:
    limit = RateLimit(rate=10, burst=5)
    assert [limit.take("a", 0.0) for _ in range(6)] == [True] * 5 + [False]
    assert limit.take("a", 0.1)
    assert not limit.take("a", 0.1)
    assert sum(limit.take("a", 0.1 + n / 1000) for n in range(1, 1001)) == 10


def test_refused_connections_cost_no_token() -> None:
    limit = RateLimit(rate=10, burst=1)
    assert limit.take("a", 0.0)
    assert not any(limit.take("a", 0.05) for _ in range(100))
    assert limit.take("a", 0.1)


def test_clusters_do_not_share_a_bucket() -> None:
    limit = RateLimit(rate=10, burst=1)
    assert limit.take("a", 0.0)
    assert limit.take("b", 0.0)


def test_full_buckets_are_forgotten_without_a_difference() -> None:
    limit = RateLimit(rate=10, burst=2)
    limit.take("a", 0.0)
    limit.take("b", 5.0)
    limit.forget_full(5.0)
    assert limit.take("b", 5.0)
    assert not limit.take("b", 5.0)
    assert [limit.take("a", 5.0) for _ in range(3)] == [True, True, False]
