"""Read models: one file is one model, its table, its project() and its queries. Disposable, rebuilt from position 0."""
