"""Contract suites that an outside author can run on a space, engine, controller or strategy of his own.

Each is a class of pytest tests that takes a fixture; see the head of its file. For readable failures, put
`pytest.register_assert_rewrite("hwnas.testing.spaces")` at the top of your conftest.py.
"""
