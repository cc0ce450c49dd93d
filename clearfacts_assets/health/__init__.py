"""Does everything answer that the nightly run needs?"""
