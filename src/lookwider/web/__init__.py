"""Trained networks in people's hands: a service for programs and a studio for the browser.

Everything here needs the extra ``web``; the rest of the library does not.
"""
