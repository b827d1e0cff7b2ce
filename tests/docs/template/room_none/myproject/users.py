from dataclasses import dataclass


@dataclass
class User:
    name: str
    role: str


USERS = {'ann': User('ann', 'member'), 'eve': User('eve', 'guest')}


def find_user(request, name):
    return USERS.get(name)
