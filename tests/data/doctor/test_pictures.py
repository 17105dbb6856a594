import numpy as np

from lookwider.classes import Classes
from lookwider.data.doctor.pictures import CELL, GAP, LINE, choose, contact_sheet
from lookwider.data.sample import Sample


def test_choose_shows_every_class_and_spreads():
    present = [{0}] * 20
    present[7], present[13] = {0, 1, 2}, {3}
    chosen = choose(present, 4)
    assert {7, 13} <= set(chosen)
    assert len(chosen) == 4
    assert chosen == sorted(chosen)
    assert max(chosen) - min(chosen) > 9
    assert choose([{0}, set()], 6) == [0, 1]


def test_the_sheet_shows_image_overlay_and_label():
    classes = Classes(
        ("red", "a name far too long for its column in the legend", "no"),
        (*((255, 0, 0), (0, 255, 0), (0, 0, 255)),),
    )
    image = np.full((30, 40, 5), 40_000, np.uint16)
    image[:, :20] = 10
    label = np.zeros((30, 40), np.uint8)
    label[:, 20:] = 1
    label[25:] = 255
    sheet = contact_sheet([Sample(image, label, "a")], ["val"], classes, [0.5, 0.4, 0.0], 0.1)
    pixels = np.asarray(sheet)
    top, left = GAP + LINE + 20, GAP + 20
    assert pixels[top, left].tolist() == [0, 0, 0]
    assert pixels[top, left + 200].tolist() == [255, 255, 255]
    step = CELL + GAP
    assert pixels[top, left + step].tolist() == [140, 0, 0]  # 0.55 of red over black
    assert pixels[top, left + 2 * step].tolist() == [255, 0, 0]
    assert pixels[top, left + 2 * step + 200].tolist() == [0, 255, 0]
    assert pixels[GAP + LINE + 230, left + 2 * step].tolist() in ([205] * 3, [235] * 3)
