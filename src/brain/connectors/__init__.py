"""What reaches outside: one small file for each service, over one retrying HTTP sender.

Requests are built by pure functions (`trigger(...)`, `create(...)`), apart from the sending of them, and every request
that makes something carries a key of ours, so that sending it twice does a thing once.
"""
