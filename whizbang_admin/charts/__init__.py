"""Pictures of figures: SVG that is made on the server."""
