"""Names and palettes of the known data sets, in the order of their class ids."""

from __future__ import annotations

from lookwider.classes import Classes, Colour


def voc_colour(index: int) -> Colour:
    """Return PASCAL VOC's colour of a class: its bits, dealt out to red, green, blue.

    Example:
        >>> voc_colour(15)
        (192, 128, 128)
    """
    channels = [0, 0, 0]
    for step in range(3):  # 8 bits in groups of three
        for channel in range(3):
            channels[channel] |= (index >> (3 * step + channel) & 1) << (7 - step)
    return channels[0], channels[1], channels[2]


def _names(text: str) -> tuple[str, ...]:
    return tuple(" ".join(name.split()) for name in text.split(","))


def _colours(text: str) -> tuple[Colour, ...]:
    """Read "rrggbb rrggbb ..."."""
    return tuple((int(c[:2], 16), int(c[2:4], 16), int(c[4:], 16)) for c in text.split())


_VOC_NAMES = _names(
    """background, aeroplane, bicycle, bird, boat, bottle, bus, car, cat, chair, cow, diningtable,
    dog, horse, motorbike, person, pottedplant, sheep, sofa, train, tvmonitor"""
)

VOC = Classes(_VOC_NAMES, tuple(voc_colour(i) for i in range(21)))
"""PASCAL VOC: background and 20 objects; stored as is, 255 is void."""

CAMVID = Classes(
    _names(
        """sky, building, pole, road, pavement, tree, sign symbol, fence, car, pedestrian,
        bicyclist"""
    ),
    _colours("""808080 800000 c0c080 804080 3c28de 808000 c08080 404080 400080 404000 0080c0"""),
)
"""CamVid's 11 classes in SegNet's order and colours; 11 is void."""

CITYSCAPES = Classes(
    _names(
        """road, sidewalk, building, wall, fence, pole, traffic light, traffic sign, vegetation,
        terrain, sky, person, rider, car, truck, bus, train, motorcycle, bicycle"""
    ),
    _colours(
        """804080 f423e8 464646 66669c be9999 999999 faaa1e dcdc00 6b8e23 98fb98 4682b4 dc143c
        ff0000 00008e 000046 003c64 005064 0000e6 770b20"""
    ),
)
"""The 19 classes that Cityscapes scores ("train ids")."""

CITYSCAPES_IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
"""The value in ``*_labelIds.png`` of each of `CITYSCAPES`; the other values to 33 are void."""

ADE20K = Classes(
    _names(
        """wall, building, sky, floor, tree, ceiling, road, bed, windowpane, grass, cabinet,
        sidewalk, person, earth, door, table, mountain, plant, curtain, chair, car, water,
        painting, sofa, shelf, house, sea, mirror, rug, field, armchair, seat, fence, desk, rock,
        wardrobe, lamp, bathtub, railing, cushion, base, box, column, signboard, chest of drawers,
        counter, sand, sink, skyscraper, fireplace, refrigerator, grandstand, path, stairs, runway,
        case, pool table, pillow, screen door, stairway, river, bridge, bookcase, blind,
        coffee table, toilet, flower, book, hill, bench, countertop, stove, palm, kitchen island,
        computer, swivel chair, boat, bar, arcade machine, hovel, bus, towel, light, truck, tower,
        chandelier, awning, streetlight, booth, television receiver, airplane, dirt track, apparel,
        pole, land, bannister, escalator, ottoman, bottle, buffet, poster, stage, van, ship,
        fountain, conveyer belt, canopy, washer, plaything, swimming pool, stool, barrel, basket,
        waterfall, tent, bag, minibike, cradle, oven, ball, food, step, tank, trade name,
        microwave, pot, animal, bicycle, lake, dishwasher, screen, blanket, sculpture, hood,
        sconce, vase, traffic light, tray, ashcan, fan, pier, crt screen, plate, monitor,
        bulletin board, shower, radiator, glass, clock, flag"""
    ),
    _colours(
        """787878 b47878 06e6e6 503232 04c803 787850 8c8c8c cc05ff e6e6e6 04fa07 e005ff ebff07
        96053d 787846 08ff33 ff0652 8fff8c ccff04 ff3307 cc4603 0066c8 3de6fa ff0633 0b66ff
        ff0747 ff09e0 0907e6 dcdcdc ff095c 7009ff 08ffd6 07ffe0 ffb806 0aff47 ff290a 07ffff
        e0ff08 6608ff ff3d06 ffc207 ff7a08 00ff14 ff0829 ff0599 0633ff eb0cff a09614 00a3ff
        8c8c8c fa0a0f 14ff00 1fff00 ff1f00 ffe000 99ff00 0000ff ff4700 00ebff 00adff 1f00ff
        0bc8c8 ff5200 00fff5 003dff 00ff70 00ff85 ff0000 ffa300 ff6600 c2ff00 008fff 33ff00
        0052ff 00ff29 00ffad 0a00ff adff00 00ff99 ff5c00 ff00ff ff00f5 ff0066 ffad00 ff0014
        ffb8b8 001fff 00ff3d 0047ff ff00cc 00ffc2 00ff52 000aff 0070ff 3300ff 00c2ff 007aff
        00ffa3 ff9900 00ff0a ff7000 8fff00 5200ff a3ff00 ffeb00 08b8aa 8500ff 00ff5c b800ff
        ff001f 00b8ff 00d6ff ff0070 5cff00 00e0ff 70e0ff 46b8a0 a300ff 9900ff 47ff00 ff00a3
        ffcc00 ff008f 00ffeb 85ff00 ff00eb f500ff ff007a fff500 0abed4 d6ff00 00ccff 1400ff
        ffff00 0099ff 0029ff 00ffcc 2900ff 29ff00 ad00ff 00f5ff 4700ff 7a00ff 00ffb8 005cff
        b8ff00 0085ff ffd600 19c2c2 66ff00 5c00ff"""
    ),
)
"""ADE20K's scene parsing benchmark: 150 classes, stored as 1..150; 0 is everything else."""

_CONTEXT_NAMES = _names(
    """aeroplane, bicycle, bird, boat, bottle, bus, car, cat, chair, cow, table, dog, horse,
    motorbike, person, pottedplant, sheep, sofa, train, tvmonitor, bag, bed, bench, book, building,
    cabinet, ceiling, cloth, computer, cup, door, fence, floor, flower, food, grass, ground,
    keyboard, light, mountain, mouse, curtain, platform, sign, plate, road, rock, shelves,
    sidewalk, sky, snow, bedclothes, track, tree, truck, wall, water, window, wood"""
)

PASCAL_CONTEXT_60 = Classes(
    ("background", *_CONTEXT_NAMES), tuple(voc_colour(i) for i in range(60))
)
"""PASCAL-Context as FCN trains it: class 0 is background, nothing is ignored."""

PASCAL_CONTEXT_59 = Classes(_CONTEXT_NAMES, tuple(voc_colour(i) for i in range(1, 60)))
"""PASCAL-Context without background, which is ignored."""

PASCAL_CONTEXT_IDS = (
    *(2, 23, 25, 31, 34, 45, 59, 65, 72, 98, 397, 113, 207, 258, 284, 308, 347, 368, 416, 427),
    *(9, 18, 22, 33, 44, 46, 68, 80, 85, 104, 115, 144, 158, 159, 162, 187, 189, 220, 232, 259),
    *(260, 105, 296, 355, 295, 324, 326, 349, 354, 360, 366, 19, 415, 420, 424, 440, 445, 454, 458),
)
"""The value of each of `PASCAL_CONTEXT_59` among the 459 labels of the full annotation."""

PASCAL_CONTEXT_LABELS = 459
"""Labels of the full annotation, 1..459; the literature calls them "the 400"."""

SIFT_FLOW = Classes.named(
    _names(
        """awning, balcony, bird, boat, bridge, building, bus, car, cow, crosswalk, desert, door,
        fence, field, grass, moon, mountain, person, plant, pole, river, road, rock, sand, sea,
        sidewalk, sign, sky, staircase, streetlight, sun, tree, window"""
    )
)
"""SIFT Flow's 33 semantic classes, stored as 1..33; 0 is unlabelled."""

SIFT_FLOW_GEOMETRIC = Classes(
    ("sky", "horizontal", "vertical"), ((70, 130, 180), (128, 64, 128), (178, 102, 30))
)
"""SIFT Flow's three geometric classes, stored as 1..3; -1 is unlabelled."""
