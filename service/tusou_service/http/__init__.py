"""The HTTP application: middleware, routes, schemas and errors."""
