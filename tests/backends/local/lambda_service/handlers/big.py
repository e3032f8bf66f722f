"""Says how large its event is."""


def handler(event, context):
    return len(event)
