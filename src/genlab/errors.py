"""The one exception that means: the user can mend this."""


class UserError(Exception):
    """A mistake of the user's, told in one sentence: what, what is allowed, what was given, what to do.

    The verbs print the message alone, without a stack trace, and exit with code 2. Everything else that
    is raised is a bug of ours and keeps its trace.
    """

    exit_code = 2
