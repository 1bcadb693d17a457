"""The sheet an installer prints: one page a language, its picture, its words the page's own."""

import re
from pathlib import Path

import pytest
from playwright.async_api import Browser

ROOT = Path(__file__).parent.parent.parent.parent
SHEET = ROOT / "board/quick-start.html"
WORDS = ROOT / "nvr/web/page/js/words"


@pytest.mark.needs("chromium")
@pytest.mark.asyncio(loop_scope="module")
async def test_it_prints_on_one_page_a_language(browser: Browser) -> None:
    page = await browser.new_page()
    await page.goto(SHEET.as_uri())
    widths = await page.evaluate("[...document.images].map(it => it.naturalWidth)")
    assert len(widths) == 2
    assert all(width >= 1000 for width in widths)
    printed = await page.pdf(prefer_css_page_size=True)
    await page.close()
    assert len(re.findall(rb"/Type\s*/Page\b", printed)) == 2


@pytest.mark.parametrize(("lang", "files"), [("zh-CN", "zh*.js"), ("en", "en*.js")])
def test_its_words_are_those_of_the_page(lang: str, files: str) -> None:
    text = SHEET.read_text(encoding="utf-8")
    part = text.partition(f'<section lang="{lang}">')[2].partition("</section>")[0]
    named = set(re.findall(r"<b>(.*?)</b>", part))
    known = "".join(path.read_text(encoding="utf-8") for path in WORDS.glob(files))
    assert len(named) >= 8
    assert not {word for word in named if f'"{word}"' not in known}
