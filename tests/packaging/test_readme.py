from __future__ import annotations

import pytest

from tests.packaging.fresh_project import NEEDED_KINDS, ROOT, replace_class
from tests.packaging.readme import ReadmeError, Step, read_steps

README = """
# Title

<!-- readme:shell -->
```console
$ pip install django-whizbang
```

```python
print("not marked")
```

<!-- readme:file shop/messages.py -->
````python
class Fence:
    '''```'''
````
"""


def test_marked_blocks_are_read_in_order() -> None:
    assert read_steps(README) == [
        Step(kind="shell", argument="", text="$ pip install django-whizbang\n", line=4),
        Step(
            kind="file",
            argument="shop/messages.py",
            text="class Fence:\n    '''```'''\n",
            line=13,
        ),
    ]


@pytest.mark.parametrize(
    ("readme", "message"),
    [
        ("<!-- readme:shell -->\nNo block.\n\n```\nls\n```\n", "before no fenced block"),
        ("<!-- readme:shel -->\n```\nls\n```\n", "unknown kind 'shel'"),
        ("<!-- readme:file -->\n```\nls\n```\n", "path belongs to readme:file"),
        ("<!-- readme:shell x.py -->\n```\nls\n```\n", "path belongs to readme:file"),
    ],
)
def test_unusable_marker_is_refused(readme: str, message: str) -> None:
    with pytest.raises(ReadmeError, match=message):
        read_steps(readme)


def test_a_class_is_replaced_by_the_one_of_its_name() -> None:
    module = "import os\n\n\nclass A:\n    x = 1\n\n\nclass B:\n    x = 1\n"
    replaced = replace_class(module, "# a comment\nclass A:\n    x = 2\n    y = 3\n")
    assert replaced == (
        "import os\n\n\n# a comment\nclass A:\n    x = 2\n    y = 3\n\n\nclass B:\n    x = 1\n"
    )
    with pytest.raises(ValueError, match="0 classes C"):
        replace_class(module, "class C:\n    x = 2\n")


def test_our_readme_marks_every_step_that_the_package_check_needs() -> None:
    kinds = {step.kind for step in read_steps((ROOT / "README.md").read_text())}

    assert set(NEEDED_KINDS) <= kinds
