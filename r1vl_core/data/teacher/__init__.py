"""Key steps by a teacher: a strong language model behind an OpenAI-compatible endpoint (paper, section 3), as a paid batch job.

endpoint.py   one request, and what became of it
pace.py       how many requests at once, and how long to wait after a refusal
budget.py     tokens and money: what may still be spent
cache.py      every answer that was ever paid for
asking.py     one answer: remembered, or asked for until it is there
talk.py       the calls about one thing, with a round of repair
answers.py    the shapes that answers must have
checks.py     what of it becomes key steps
judging.py    one response that no rule of a benchmark decides, with a judge in the place of a teacher
lesson.py     one question: extract, refine, augment
batch.py      many questions, with progress
estimate.py   what all would cost, from a sample
calls.py      the record of it in the stage's artifact
"""
