"""The console's pages as a browser asks for them, without the browser."""
