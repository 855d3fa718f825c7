from dsql.rate_limit import RateLimit


def test_burst_is_spent_then_the_rate_holds() -> None:
    limit = RateLimit(rate=10, burst=5)
    assert [limit.take("a", 0.0) for _ in range(6)] == [1, 1, 1, 1, 1, 0]
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
    assert [limit.take("a", 5.0) for _ in range(3)] == [1, 1, 0]


def test_several_tokens_are_taken_as_far_as_there_are_any() -> None:
    limit = RateLimit(rate=10, burst=5)
    assert [limit.take("a", 0.0, 3) for _ in range(3)] == [3, 2, 0]
    limit.give_back("a", 2)
    assert limit.take("a", 0.0, 3) == 2
    assert limit.take("a", 60.0, 9) == 5


def test_no_rate_is_no_limit() -> None:
    assert RateLimit(rate=0, burst=0).take("a", 0.0, 7) == 7
