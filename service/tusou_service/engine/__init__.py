"""The search engine behind the HTTP application: batching, reloads and device errors."""
