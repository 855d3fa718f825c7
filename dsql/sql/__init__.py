"""From SQL text to a bound statement: grammar gate, sqlglot tree, binder."""
