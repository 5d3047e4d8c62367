"""Every sentence a person reads about a result, and the lift report as an HTML page.

May import: errors, and the modules of other packages that define results and messages.
"""
