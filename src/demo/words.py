"""What the page says, in English and Chinese."""

from __future__ import annotations

LANGUAGES = ("English", "中文")

_WORDS = {
    "title": ("# Portraits and lightmaps", "# 人像与光照贴图"),
    "portrait_tab": ("Portrait", "人像"),
    "lightmap_tab": ("Lightmap", "光照贴图"),
    "photo": ("Drop a photo of one person", "拖入一张单人照片"),
    "relit": ("In the light you choose", "所选光照下的人像"),
    "flat_lit": ("Flat-lit", "均匀光照"),
    "environment": ("The light that was found", "估计出的环境光"),
    "confidence": ("How sure: flat-lit", "置信度：均匀光照"),
    "env_confidence": ("How sure: the light", "置信度：环境光"),
    "chosen": ("The chosen light", "所选环境光"),
    "light": ("Light", "光照"),
    "of_photo": ("as in the photo", "照片中的光照"),
    "sun": ("sun and sky", "晴天"),
    "window": ("room with windows", "窗边"),
    "studio": ("studio", "影棚"),
    "night": ("night", "夜晚"),
    "own": ("my HDR file", "我的 HDR 文件"),
    "upload": ("Upload an HDR environment (.hdr, .exr)", "上传 HDR 环境图（.hdr、.exr）"),
    "turn": ("Turn the light, degrees", "旋转光照（度）"),
    "stops": ("Brightness, stops", "亮度（档）"),
    "behind": ("Behind the person", "人物背后"),
    "keep": ("the photo", "原照片"),
    "behind_light": ("the light", "环境光"),
    "pack": ("Download all", "下载全部"),
    "files": ("Files", "文件"),
    "bundle": ("Drop a lightmap bundle (.tod)", "拖入光照贴图文件（.tod）"),
    "lightmap": ("Lightmap", "贴图"),
    "hour": ("Hour of the day", "时刻"),
    "frame": ("At that hour", "该时刻的光照贴图"),
    "no_photo": ("Drop a photo first.", "请先拖入一张照片。"),
    "no_hdr": ("Upload an HDR environment first.", "请先上传 HDR 环境图。"),
    "no_relighting": (
        "There are no weights for relighting here: start the page with --relit_checkpoint.",
        "没有重光照模型：请用 --relit_checkpoint 启动本页。",
    ),
    "bad_photo": ("This photo cannot be read", "无法读取这张照片"),
    "bad_hdr": ("This HDR environment cannot be read", "无法读取这个 HDR 环境图"),
    "bad_bundle": ("This bundle cannot be opened", "无法打开这个光照贴图文件"),
    "size": (
        "{width} x {height} texels, {kilobytes:.0f} KB in memory",
        "{width} x {height} 纹素，内存 {kilobytes:.0f} KB",
    ),
}


def say(key: str, language: str) -> str:
    """The words of ``key`` in one of ``LANGUAGES``."""
    return _WORDS[key][LANGUAGES.index(language)]


def language_of(accepted: str) -> str:
    """The first of a browser's ``Accept-Language`` that the page speaks; English where it asks for neither."""
    for part in accepted.lower().split(","):
        for language, code in zip(LANGUAGES, ("en", "zh"), strict=True):
            if part.strip().startswith(code):
                return language
    return LANGUAGES[0]
