"""Replicas in turn, whatever they do (cyclic splitting; Wang and Morris, 1985)."""


class RoundRobin:
    def __init__(self):
        self.last = -1

    def route(self, request, replicas):
        """The next replica after the last one that serves prompts."""
        n = len(replicas)
        for index in range(self.last + 1, self.last + 1 + n):
            self.last = index % n
            if replicas.healthy[self.last] and replicas.role[self.last] != 2:
                break
        return self.last
