"""The HTTP server: embeddings as OpenAI's clients expect them, classification, and search (extra `serve`).

`app.create_app` makes the application, `settings` says what it may be told, `running` serves it. Nothing is imported
here, so that a key is made without waiting for torch.
"""
