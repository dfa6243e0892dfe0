"""What HTML pages and pictures are made with: the doors to jinja2 and matplotlib, thumbnails, whole files."""
