"""Learning as a node sees it: it carries, signs, stores and shows what the coordinator and its learner need.

Nothing here trains. A node that takes part in no round starts no timer, opens no connection and runs no task for it.
"""
